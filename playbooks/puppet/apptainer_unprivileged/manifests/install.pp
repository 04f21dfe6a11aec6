# @summary Installs Apptainer, removes setuid starters where that was asked for, and sets directives of apptainer.conf.
# @api private
class apptainer_unprivileged::install {
  $file = $apptainer_unprivileged::apptainer_source ? {
    'url'   => '/var/lib/lading/apptainer.deb',
    default => undef,
  }
  package { 'apptainer':
    ensure   => ">=${apptainer_unprivileged::apptainer_minimum_version}",
    provider => recorded_apt,
    source   => $file,
  }

  # The preflight refuses them unless this was asked for.
  $setuid = $facts['apptainer_unprivileged']['setuid_starters'].values.unique.filter |$package| { !$package.empty }
  package { $setuid:
    ensure   => absent,
    provider => recorded_apt,
    require  => Package['apptainer'],
  }

  apptainer_conf { 'this host':
    settings => $apptainer_unprivileged::apptainer_config,
    require  => Package['apptainer'],
  }
}
