# frozen_string_literal: true

require_relative 'record'

# Single directives of apptainer.conf, each on its own line. Only the lines of directives that are named change, so that
# new defaults and an admin's edits stay.
class PuppetX::Lading::Directives
  PATH = '/etc/apptainer/apptainer.conf'

  # @param text [String] the file's content
  # @param done [Hash] what the record says of earlier changes
  def initialize(text, done)
    @text = text
    @lines = take_back(text.split("\n", -1).tap { |lines| lines.pop if lines.last == '' }, done)
  end

  # Return the text without what an earlier run did, and with what was put in since. It ends as it did: an admin's last
  # line may lack its newline.
  def text
    @lines.join("\n") + (@lines.any? && (@text.empty? || @text.end_with?("\n")) ? "\n" : '')
  end

  # Put settings in; return for each directive that differed what stood there and what was written.
  def put(settings)
    refuse(settings)
    done = settings.to_h do |name, value|
      [name, value.is_a?(Array) ? add(name, value) : set(name, value)]
    end
    done.reject { |_, facts| facts.nil? || facts['added'] == [] }
  end

  private

  # A line that somebody has changed since stays.
  def take_back(lines, done)
    done.each_value do |facts|
      facts.fetch('added', []).each { |line| (at = lines.index(line)) && lines.delete_at(at) }
      at = facts['written'] && lines.index(facts['written'])
      lines[at] = facts['former'] if at
    end
    lines
  end

  def add(name, values)
    have = active(name).map { |at| value_of(@lines[at]) }
    added = (values - have).map { |value| "#{name} = #{value}" }
    @lines.insert(place(name), *added)
    { 'added' => added }
  end

  def set(name, value)
    line = "#{name} = #{value}"
    at = active(name).last
    if at.nil?
      @lines.insert(place(name), line)
      { 'added' => [line] }
    elsif value_of(@lines[at]) != value
      former = @lines[at]
      @lines[at] = line
      { 'former' => former, 'written' => line }
    end
  end

  # Return where a new line of a directive goes: behind its others, else behind its examples, else at the end.
  def place(name)
    at = active(name).last || examples(name).last
    at ? at + 1 : @lines.length
  end

  def active(name)
    indices(/\A\s*#{Regexp.escape(name)}\s*=/)
  end

  def examples(name)
    indices(/\A#\s*#{Regexp.escape(name)}\s*=/)
  end

  def indices(pattern)
    @lines.each_index.select { |at| @lines[at].match?(pattern) }
  end

  def value_of(line)
    line.partition('=').last.strip
  end

  # Refuse what Apptainer would ignore or refuse.
  def refuse(settings)
    faults = settings.filter_map { |name, value| fault(name, [value].flatten) }
    raise Puppet::Error, "'#{PATH}' was left as it is: #{faults.join(' ')}" unless faults.empty?
  end

  def fault(name, values)
    allowed = choices(name)
    if active(name).empty? && examples(name).empty?
      "'#{name}' is not a directive that this version's file mentions."
    elsif !allowed.empty? && !(values - allowed).empty?
      "'#{name}' takes #{allowed.join(', ')}, not '#{values.join(', ')}'."
    elsif values.any? { |value| value.include?("\n") }
      "'#{name}' takes one line."
    end
  end

  # Return the values that the file's own comments allow, or nothing when they do not say.
  def choices(name)
    said = @text[/^# #{Regexp.escape(name.upcase)}: \[([^\]}]+)/, 1].to_s
    return %w[yes no] if said == 'BOOL'

    said.include?('/') ? said.split('/') : []
  end
end
