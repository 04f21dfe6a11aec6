# frozen_string_literal: true

require_relative 'host'

# The host's apt sources, in both of apt's forms.
module PuppetX::Lading::AptSources
  FOLDER = '/etc/apt/sources.list.d'

  # Return address and key of the first source of the host's own release, nil when it has none.
  def self.of_release(codename)
    found = all.find { |source| source['suites'].split.include?(codename) }
    found&.except('suites')
  end

  def self.all
    lists = ['/etc/apt/sources.list', *Dir.glob("#{FOLDER}/*.list").sort]
    stanzas = Dir.glob("#{FOLDER}/*.sources").sort
    lists.flat_map { |path| one_line(PuppetX::Lading::Host.text(path)) } +
      stanzas.flat_map { |path| deb822(PuppetX::Lading::Host.text(path)) }
  end

  def self.one_line(text)
    text.lines.filter_map do |line|
      found = line.match(/\A\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)/)
      found && { 'uri' => found[2], 'suites' => found[3], 'signed_by' => found[1].to_s[/signed-by=(\S+)/, 1].to_s }
    end
  end

  # Return the enabled entries; a key inside the file keeps its continuation lines.
  def self.deb822(text)
    stanzas = text.split(/\n\s*\n/).map do |stanza|
      plain = stanza.lines.reject { |line| line.start_with?('#') }.join
      plain.scan(/^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)/).to_h { |key, value| [key.downcase, value.rstrip] }
    end
    used = stanzas.select do |fields|
      fields.fetch('types', '').split.include?('deb') && !%w[no false].include?(fields.fetch('enabled', 'yes').downcase)
    end
    used.map do |fields|
      { 'uri' => fields.fetch('uris', '').split.first.to_s, 'suites' => fields.fetch('suites', ''),
        'signed_by' => fields.fetch('signed-by', '') }
    end
  end
end
