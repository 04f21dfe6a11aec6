# frozen_string_literal: true

require_relative '../../puppet_x/lading/namespaces'

Puppet::Type.newtype(:namespaces_preflight) do
  @doc = <<~DOC
    Refuses a host on which something in use would break without network namespaces; what requires this resource is then
    left as it is. It changes nothing.
  DOC

  newparam(:name, namevar: true) do
    desc 'Any name.'
  end

  newparam(:accept, array_matching: :all) do
    desc 'Kinds of things that may break although they are in use.'
    defaultto []
  end

  newparam(:drop_ins, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether units with a private network get a drop-in; else they are a reason to refuse.'
    defaultto true
  end

  newproperty(:accepted) do
    desc 'Whether nothing speaks against it.'
    newvalue(:true)
    defaultto :true

    def retrieve
      resource.refuse_other_managers
      resource.refuse_conflicts
      resource.refuse_stubborn
      resource.refuse_in_use unless resource.survey.in_force? # else nothing more would break
      :true
    end
  end

  def survey
    @survey ||= PuppetX::Lading::Namespaces.new
  end

  def refuse_other_managers
    return if PuppetX::Lading::Host.booted?

    raise Puppet::Error, 'This host is not run by systemd, so its units cannot be asked about network namespaces.'
  end

  def refuse_conflicts
    found = PuppetX::Lading::SysctlFiles.conflicts
    return if found.empty?

    raise Puppet::Error,
          "Lines that are read after '#{PuppetX::Lading::SysctlFiles::OWN}' would undo it at the next boot: " \
          "#{found.join('; ')}. Remove them or move them to a file that sorts earlier. Nothing was changed."
  end

  def refuse_stubborn
    found = survey.stubborn
    return if found.empty? || accepts('units')

    raise Puppet::Error,
          "These units keep PrivateNetwork=yes although '#{PuppetX::Lading::Namespaces::DROP_IN}' is loaded, so a " \
          "later drop-in sets it again: #{found.join(', ')}. See 'systemctl cat', or add 'units' to " \
          'worker_namespaces_accept. Nothing was changed.'
  end

  def refuse_in_use
    found = survey.in_use
    found['units'] = survey.units unless drop_ins? || survey.units.empty?
    refused = found.reject { |kind, _| accepts(kind) }.map { |kind, signs| "#{kind}: #{signs.join(', ')}" }
    return if refused.empty?

    raise Puppet::Error,
          "Without network namespaces these would break: #{refused.join('; ')}. Stop using them, leave this host " \
          'out, or name the kinds in worker_namespaces_accept. Nothing was changed.'
  end

  private

  def accepts(kind)
    [self[:accept]].flatten.include?(kind)
  end
end
