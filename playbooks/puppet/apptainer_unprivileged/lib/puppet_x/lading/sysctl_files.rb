# frozen_string_literal: true

require_relative 'host'
require_relative 'record'

# The host's sysctl files as systemd and procps read them, and what they say about namespaces.
module PuppetX::Lading::SysctlFiles
  FOLDERS = %w[/etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d /lib/sysctl.d].freeze
  OWN = '/etc/sysctl.d/90-max_net_namespaces.conf'
  NETWORK = 'user.max_net_namespaces'
  # The keys that have to be other than zero for user namespaces, and what they are set to where they are not.
  USER_NAMESPACES = { 'user.max_user_namespaces' => '15000', 'kernel.unprivileged_userns_clone' => '1' }.freeze

  # Return line number, key pattern and value of each setting, in systemd's reading of a sysctl file.
  def self.parse(text)
    text.each_line.with_index(1).filter_map do |line, number|
      key, equals, value = line.strip.partition('=')
      [number, key.strip.sub(/\A-+/, '').tr('/', '.'), value.strip] if !equals.empty? && key.match?(/\A[^#;]/)
    end
  end

  # Return what the module's own file sets.
  def self.own
    parse(PuppetX::Lading::Host.text(OWN)).to_h { |_, key, value| [key, value] }
  end

  # Return the kernel settings this host needs: a key for user namespaces only where it was found to be zero.
  def self.wanted
    known = PuppetX::Lading::Record.new('worker_namespaces')['sysctls'].keys | own.keys
    needed = running.select { |key, now| now == '0' || known.include?(key) }.keys
    { NETWORK => '0', **USER_NAMESPACES.slice(*needed) }
  end

  # Return what the kernel has for the keys of user namespaces, without those that it does not know.
  def self.running
    USER_NAMESPACES.keys.to_h { |key| [key, PuppetX::Lading::Host.sysctl(key)] }.compact
  end

  # Return the files in force: of two with one name the first folder's counts. /etc/sysctl.conf is procps's alone.
  def self.in_force
    files = FOLDERS.flat_map { |folder| Dir.glob("#{folder}/*.conf").sort }.uniq { |path| File.basename(path) }
    [*files, '/etc/sysctl.conf']
  end

  # Return the lines that come after the module's file and undo it, as `file:line: text`.
  def self.conflicts
    later = in_force.select { |p| File.basename(p) > File.basename(OWN) || p == '/etc/sysctl.conf' }
    later.flat_map do |path|
      wrong = parse(PuppetX::Lading::Host.text(path)).select { |_, pattern, value| defeats?(pattern, value) }
      wrong.map { |number, pattern, value| "#{path}:#{number}: #{pattern} = #{value}" }
    end
  end

  def self.defeats?(pattern, value)
    [NETWORK, *USER_NAMESPACES.keys].any? do |key|
      File.fnmatch(pattern, key) && (key == NETWORK ? value != '0' : value == '0')
    end
  end
end
