# @summary Adds the package source that was asked for; 'host' needs none.
# @api private
class apptainer_unprivileged::source {
  case $apptainer_unprivileged::apptainer_source {
    'debian-unstable': {
      $release = $facts['apptainer_unprivileged']['apt_source']
      unless $release {
        fail("The host's own release has no apt source, which would tell the address of unstable. Nothing was changed.")
      }
      $values = $release + { 'check_valid_until' => $apptainer_unprivileged::apptainer_unstable_check_valid_until }
      recorded_file {
        default:
          record => 'apptainer',
          ;
        '/etc/apt/sources.list.d/lading-debian-unstable.sources':
          content => epp('apptainer_unprivileged/lading-debian-unstable.sources.epp', $values),
          ;
        '/etc/apt/preferences.d/lading-debian-unstable':
          content => file('apptainer_unprivileged/lading-debian-unstable'),
          ;
      }
    }
    'mirror': {
      recorded_file { '/etc/apt/sources.list.d/lading-apptainer.sources':
        record  => 'apptainer',
        content => epp('apptainer_unprivileged/lading-apptainer.sources.epp', {
            'uri'        => $apptainer_unprivileged::apptainer_mirror_url,
            'suite'      => $apptainer_unprivileged::apptainer_mirror_suite,
            'components' => $apptainer_unprivileged::apptainer_mirror_components,
            'signed_by'  => $apptainer_unprivileged::apptainer_mirror_key,
        }),
      }
    }
    'url': {
      file {
        '/var/lib/lading':
          ensure => directory,
          mode   => '0700',
          ;
        '/var/lib/lading/apptainer.deb':
          ensure         => file,
          source         => $apptainer_unprivileged::apptainer_package_url,
          checksum       => 'sha256',
          checksum_value => $apptainer_unprivileged::apptainer_package_sha256,
          ;
      }
    }
    default: {}
  }
}
