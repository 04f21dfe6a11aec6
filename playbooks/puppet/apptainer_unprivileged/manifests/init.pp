# @summary Lets local users of a worker node run Apptainer, without setuid and with network namespaces off.
#
# The parameters have the names and the meaning of the variables of the Ansible playbook
# `apptainer_unprivileged.yml`; README.md has them in a table.
#
# @example Install upstream's package
#   class { 'apptainer_unprivileged':
#     apptainer_source         => 'url',
#     apptainer_package_url    => 'https://software.site.example/apptainer_amd64.deb',
#     apptainer_package_sha256 => '...',
#   }
#
# @param apptainer_state `present` sets it up; `absent` puts back what the host had.
# @param apptainer_source Where the package comes from.
# @param apptainer_minimum_version Oldest version to leave on a host. 1.4.5 mends CVE-2025-65105.
# @param apptainer_config Directive of apptainer.conf to value; what is not named is left alone.
# @param apptainer_remove_setuid Remove the package that brings a setuid starter instead of refusing the host.
# @param apptainer_package_url Address of the .deb, for the source `url`.
# @param apptainer_package_sha256 SHA-256 of that package.
# @param apptainer_mirror_url Address of the repository, for the source `mirror`.
# @param apptainer_mirror_key Key file on the host that signs it.
# @param apptainer_mirror_suite Its suite.
# @param apptainer_mirror_components Its components.
# @param apptainer_unstable_check_valid_until Whether apt insists on a Release file that is not past its date.
# @param worker_namespaces_accept What may break although it is in use.
# @param worker_namespaces_drop_ins Give units with PrivateNetwork=yes a drop-in that takes it away; else refuse.
class apptainer_unprivileged (
  Enum['present', 'absent'] $apptainer_state = 'present',
  Enum['host', 'mirror', 'url', 'debian-unstable'] $apptainer_source = 'host',
  Pattern[/\A\d+(\.\d+)*\z/] $apptainer_minimum_version = '1.4.5',
  Hash[String[1], Variant[Scalar, Array[Scalar]]] $apptainer_config = {},
  Boolean $apptainer_remove_setuid = false,
  String $apptainer_package_url = '',
  Pattern[/\A([0-9a-f]{64})?\z/] $apptainer_package_sha256 = '',
  String $apptainer_mirror_url = '',
  String $apptainer_mirror_key = '',
  String $apptainer_mirror_suite = '',
  Array[String[1]] $apptainer_mirror_components = ['main'],
  Boolean $apptainer_unstable_check_valid_until = true,
  Array[Apptainer_unprivileged::Use] $worker_namespaces_accept = [],
  Boolean $worker_namespaces_drop_ins = true,
) {
  $os = $facts['os']
  unless $os['name'] == 'Debian' and $os['release']['major'] == '13' {
    $system = "${os['name']} ${os['release']['full']}"
    fail("This host runs ${system}. The class '${name}' knows Debian 13 only. Nothing was changed.")
  }

  if $apptainer_state == 'absent' {
    contain apptainer_unprivileged::undo
  } else {
    contain apptainer_unprivileged::preflight
    contain apptainer_unprivileged::source
    contain apptainer_unprivileged::install
    contain apptainer_unprivileged::namespaces

    Class['apptainer_unprivileged::preflight']
    -> Class['apptainer_unprivileged::source']
    -> Class['apptainer_unprivileged::install']
    -> Class['apptainer_unprivileged::namespaces']
  }
}
