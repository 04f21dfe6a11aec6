# frozen_string_literal: true

require_relative '../../puppet_x/lading/undo'

Puppet::Type.newtype(:host_record) do
  @doc = <<~DOC
    What a host had before. `ensure => absent` puts it back, and forgets it then.

        host_record { 'apptainer': ensure => absent }
  DOC

  newparam(:name, namevar: true) do
    desc 'The record.'
    newvalues(*PuppetX::Lading::NAMES)
    munge(&:to_s)
  end

  newproperty(:ensure) do
    desc 'Only `absent`: the record is made by what it is about.'
    newvalue(:absent)

    def retrieve
      File.exist?(resource.record.path) ? :present : :absent
    end

    def sync
      PuppetX::Lading::Undo.new(resource.record, resource).run
    end

    def change_to_s(_current, _wanted)
      "put back what the host had: #{PuppetX::Lading::Undo.summary(resource.record)}"
    end
  end

  def record
    @record ||= PuppetX::Lading::Record.new(self[:name])
  end
end
