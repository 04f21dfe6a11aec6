# @summary Puts back what the host had, and removes what this module brought.
# @api private
class apptainer_unprivileged::undo {
  $reload = 'systemctl daemon-reload'

  file { '/var/lib/lading/apptainer.deb':
    ensure => absent,
  }
  -> host_record { 'apptainer':
    ensure => absent,
  }
  -> host_record { 'worker_namespaces':
    ensure => absent,
  }
  ~> exec { $reload:
    path        => ['/usr/bin', '/bin'],
    refreshonly => true,
  }
}
