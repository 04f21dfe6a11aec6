# frozen_string_literal: true

require_relative '../../puppet_x/lading/host'
require_relative '../../puppet_x/lading/record'
require_relative '../../puppet_x/lading/sysctl_files'

Puppet::Type.newtype(:recorded_sysctl) do
  @doc = <<~DOC
    A setting of the running kernel, with its former value remembered. To make it survive a reboot is a file's job.

        recorded_sysctl { 'user.max_net_namespaces':
          value  => '0',
          record => 'worker_namespaces',
        }
  DOC

  newparam(:key, namevar: true) do
    desc "The setting in sysctl's notation."
  end

  newparam(:record) do
    desc 'The record to write to.'
    newvalues(*PuppetX::Lading::NAMES)
  end

  newproperty(:value) do
    desc 'Its value now.'
    munge(&:to_s)

    def retrieve
      key = resource[:key]
      PuppetX::Lading::Host.sysctl(key) or raise Puppet::Error, "This kernel has no setting '#{key}'."
    end

    def sync
      record = PuppetX::Lading::Record.new(resource[:record].to_s)
      # What a key had when this module first changed any: later it may be somebody's mistake that is mended.
      before = record.data['sysctls_before'] ||= PuppetX::Lading::SysctlFiles.running
      entry = record.part('sysctls')[resource[:key]] ||= { 'former' => before.fetch(resource[:key], retrieve) }
      entry['written'] = should
      record.save
      File.write(PuppetX::Lading::Host.sysctl_path(resource[:key]), should)
    end
  end
end
