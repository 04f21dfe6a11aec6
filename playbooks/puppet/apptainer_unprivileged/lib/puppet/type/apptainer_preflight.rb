# frozen_string_literal: true

require_relative '../../puppet_x/lading/starters'

Puppet::Type.newtype(:apptainer_preflight) do
  @doc = <<~DOC
    Refuses a host on which Apptainer should not be installed; what requires this resource is then left as it is.
    It changes nothing.
  DOC

  newparam(:name, namevar: true) do
    desc 'Any name.'
  end

  newparam(:setuid_starters) do
    desc 'Setuid starters that the host has, each with its package or an empty name.'
    defaultto({})
  end

  newparam(:remove_setuid, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc "Whether a starter's package may be removed."
    defaultto false
  end

  newparam(:minimum_version) do
    desc 'Oldest version to accept.'
  end

  newparam(:host_source, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc "Whether the host's repositories have to offer a version that is recent enough."
    defaultto false
  end

  newproperty(:accepted) do
    desc 'Whether nothing speaks against it.'
    newvalue(:true)
    defaultto :true

    def retrieve
      resource.refuse_setuid
      resource.refuse_offer if resource.host_source?
      resource.tell_of_others
      :true
    end
  end

  def refuse_setuid
    starters = self[:setuid_starters]
    return if starters.empty? || (remove_setuid? && starters.values.any? { |package| !package.empty? })

    packages = starters.values.uniq.reject(&:empty?)
    packages << 'none' if packages.empty?
    raise Puppet::Error,
          "This host has a setuid starter: #{starters.keys.join(', ')} (package: #{packages.join(', ')}). Set " \
          'apptainer_remove_setuid to have its package removed; remove one of no package by hand. Nothing was changed.'
  end

  def refuse_offer
    answer = ask('apt-cache', 'policy', 'apptainer')
    installed, offered = answer.values_at('Installed', 'Candidate').map { |said| said unless said == '(none)' }
    # Before apt has fetched its lists, the offer is not known.
    return if recent?(installed) || recent?(offered) || Dir.glob('/var/lib/apt/lists/*Packages*').empty?

    raise Puppet::Error,
          "The repositories of this host offer #{offered ? "apptainer #{offered}" : 'no apptainer'}; " \
          "#{self[:minimum_version]} or later is needed. Set apptainer_source to 'url' or 'mirror'. " \
          'Nothing was changed.'
  end

  def tell_of_others
    left, links = PuppetX::Lading::Starters.leftovers, PuppetX::Lading::Starters.taken_over
    warning("Left for you to merge or delete, untouched here: #{left.join(', ')}.") if left.any?
    warning("The package takes over #{links.join(', ')}; the undo puts that back.") if links.any?
  end

  private

  def ask(*command)
    text = Puppet::Util::Execution.execute(command, failonfail: true, combine: false, override_locale: true)
    text.scan(/^\s*(\w+): (\S+)/).to_h
  end

  def recent?(version)
    parse = Puppet::Util::Package::Version::Debian.method(:parse)
    !version.nil? && parse.call(version) >= parse.call(self[:minimum_version])
  end
end
