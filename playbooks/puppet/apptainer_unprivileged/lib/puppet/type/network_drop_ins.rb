# frozen_string_literal: true

require_relative '../../puppet_x/lading/namespaces'

Puppet::Type.newtype(:network_drop_ins) do
  @doc = <<~DOC
    Declares a drop-in that takes PrivateNetwork=yes away, for each unit that systemd says has it. Which these are
    differs from host to host, so systemd is asked where the catalogue is applied.
  DOC

  newparam(:name, namevar: true) do
    desc 'The name of the `namespaces_preflight` whose survey is used.'
  end

  def generate
    catalog.resource(:namespaces_preflight, self[:name]).survey.drop_ins.map do |path, content|
      attributes = { path: path, content: content, record: 'worker_namespaces', notify: self[:notify] }.compact
      Puppet::Type.type(:recorded_file).new(attributes).tap { |made| made.file, made.line = file, line }
    end
  end
end
