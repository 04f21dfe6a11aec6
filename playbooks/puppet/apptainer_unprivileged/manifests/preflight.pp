# @summary Looks before anything changes. On a host that is refused, everything else of this module is skipped.
# @api private
class apptainer_unprivileged::preflight {
  $params = $apptainer_unprivileged::apptainer_source ? {
    'url'             => { 'apptainer_package_url'  => $apptainer_unprivileged::apptainer_package_url,
      'apptainer_package_sha256' => $apptainer_unprivileged::apptainer_package_sha256 },
    'mirror'          => { 'apptainer_mirror_url'   => $apptainer_unprivileged::apptainer_mirror_url,
      'apptainer_mirror_suite' => $apptainer_unprivileged::apptainer_mirror_suite },
    default           => {},
  }
  $params.each |$parameter, $value| {
    if $value.empty {
      fail("apptainer_source '${apptainer_unprivileged::apptainer_source}' needs ${parameter}. Nothing was changed.")
    }
  }

  apptainer_preflight { 'this host':
    setuid_starters => $facts['apptainer_unprivileged']['setuid_starters'],
    remove_setuid   => $apptainer_unprivileged::apptainer_remove_setuid,
    minimum_version => $apptainer_unprivileged::apptainer_minimum_version,
    host_source     => $apptainer_unprivileged::apptainer_source == 'host',
  }

  namespaces_preflight { 'this host':
    accept   => $apptainer_unprivileged::worker_namespaces_accept,
    drop_ins => $apptainer_unprivileged::worker_namespaces_drop_ins,
  }
}
