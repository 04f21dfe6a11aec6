# @summary Switches network namespaces off, now and after a reboot, and leaves user namespaces on.
# @api private
class apptainer_unprivileged::namespaces {
  $reload = 'systemctl daemon-reload'
  $limits = $facts['apptainer_unprivileged']['sysctls']
  $file = '/etc/sysctl.d/90-max_net_namespaces.conf'

  if $apptainer_unprivileged::worker_namespaces_drop_ins {
    network_drop_ins { 'this host':
      notify => Exec[$reload],
    }
  }

  # The drop-ins are loaded before any unit can fail for want of them.
  exec { $reload:
    path        => ['/usr/bin', '/bin'],
    refreshonly => true,
    before      => Recorded_file[$file],
  }

  recorded_file { $file:
    record  => 'worker_namespaces',
    content => epp('apptainer_unprivileged/90-max_net_namespaces.conf.epp', { 'limits' => $limits }),
  }

  $limits.each |$key, $value| {
    recorded_sysctl { $key:
      value   => $value,
      record  => 'worker_namespaces',
      require => Recorded_file[$file],
    }
  }
}
