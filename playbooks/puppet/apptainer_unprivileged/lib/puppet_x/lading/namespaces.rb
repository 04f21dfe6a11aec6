# frozen_string_literal: true

require_relative 'host'
require_relative 'record'
require_relative 'sysctl_files'

# What switching network namespaces off would break on this host. It reads and changes nothing.
class PuppetX::Lading::Namespaces
  DROP_IN = '90-lading-network.conf'
  UNIT_FOLDERS = %w[
    /etc/systemd/system.control /etc/systemd/system /run/systemd/system /run/systemd/generator.early
    /run/systemd/generator /run/systemd/generator.late /usr/local/lib/systemd/system /usr/lib/systemd/system
    /lib/systemd/system
  ].freeze
  SECTIONS = { 'service' => 'Service', 'socket' => 'Socket', 'mount' => 'Mount', 'swap' => 'Swap' }.freeze
  ENGINES = {
    'docker' => %w[docker.service docker.socket containerd.service],
    'libvirt' => %w[libvirtd.service libvirtd.socket virtqemud.service virtqemud.socket virtlxcd.socket],
    'kubelet' => %w[kubelet.service crio.service k3s.service k3s-agent.service rke2-agent.service],
    'lxc' => %w[lxc-net.service incus.service incus.socket lxd.service],
  }.freeze
  ENGINE_OF_PROCESS = {
    'dockerd' => 'docker', 'containerd' => 'docker', 'conmon' => 'podman', 'libvirtd' => 'libvirt',
    'virtqemud' => 'libvirt', 'virtlxcd' => 'libvirt', 'kubelet' => 'kubelet', 'crio' => 'kubelet',
    'k3s-server' => 'kubelet', 'lxc-start' => 'lxc'
  }.freeze
  PODMAN_FILES = %w[
    /etc/containers/networks/*.json /etc/containers/systemd/*.* /usr/share/containers/systemd/*.*
    /var/lib/containers/storage/overlay-containers/*/userdata
  ].freeze
  SHOW = %w[systemctl show -p Id,LoadState,ActiveState,PrivateNetwork,DropInPaths --].freeze

  # Return path and content of each drop-in this host needs.
  def drop_ins
    units.to_h do |unit|
      section = SECTIONS.fetch(unit[/[^.]*\z/])
      reason = '# With user.max_net_namespaces = 0 this unit could not start in a network namespace of its own.'
      ["/etc/systemd/system/#{unit}.d/#{DROP_IN}", "#{reason}\n[#{section}]\nPrivateNetwork=no\n"]
    end
  end

  # Return the units that want a network namespace of their own or have a drop-in of this module, by their file's name.
  def units
    on_disk = shown.filter_map { |block| file_name(block['Id']) if block['LoadState'] == 'loaded' && block['Id'] }
    own = PuppetX::Lading::Record.new('worker_namespaces')['files'].keys.select { |path| path.end_with?("/#{DROP_IN}") }
    known = own.map { |path| File.basename(File.dirname(path), '.d') }
    (private_units.keys | (known & on_disk)).sort
  end

  # Return the units that keep PrivateNetwork although the drop-in is loaded: a later one sets it again.
  def stubborn
    private_units.select { |_, loaded| loaded.include?("/#{DROP_IN}") }.keys.sort
  end

  # Return what is in use and would break, by kind.
  def in_use
    spaces = of_processes + named
    found = engines
    found['network-namespaces'] = spaces unless spaces.empty?
    found.sort.to_h
  end

  # Tell whether network namespaces are off already, now and after a reboot.
  def in_force?
    key = PuppetX::Lading::SysctlFiles::NETWORK
    PuppetX::Lading::Host.sysctl(key) == '0' && PuppetX::Lading::SysctlFiles.own[key] == '0'
  end

  private

  # Ask systemd about every unit that can have a network namespace. A template has no state of its own: it is asked
  # about an instance that nobody has.
  def shown
    @shown ||= begin
      names = UNIT_FOLDERS.select { |f| Dir.exist?(f) }.flat_map { |f| Dir.children(f) }.uniq
      units = names.select { |name| name.include?('.') && SECTIONS.key?(name[/[^.]*\z/]) }.sort
      # An alias may be listed whose unit is gone: systemctl then ends in 1 and still answers for the others.
      text = Puppet::Util::Execution.execute([*SHOW, *units.map { |n| n.sub('@.', '@lading.') }], failonfail: false)
      text.split("\n\n").map { |block| block.lines(chomp: true).to_h { |line| line.partition('=').values_at(0, 2) } }
    end
  end

  def private_units
    wanted = shown.select { |block| block['PrivateNetwork'] == 'yes' && block['LoadState'] == 'loaded' }
    wanted.to_h { |block| [file_name(block['Id']), block['DropInPaths'].to_s] }
  end

  def file_name(unit)
    unit.sub('@lading.', '@.')
  end

  # Return the network namespaces of processes, one line each, but for units that get a drop-in.
  def of_processes
    handled = units
    host = File.readlink('/proc/1/ns/net')
    found = processes.each_with_object({}) do |pid, seen|
      namespace = File.readlink("/proc/#{pid}/ns/net")
      next if namespace == host || seen.key?(namespace)

      unit = unit_of(PuppetX::Lading::Host.text("/proc/#{pid}/cgroup"))
      next if handled.include?(unit)

      where = unit ? ", unit '#{unit}'" : ''
      seen[namespace] = "#{namespace} of '#{name_of(pid)}' (process #{pid}#{where})"
    rescue SystemCallError
      next # the process has ended, or is a kernel thread
    end
    found.values.sort
  end

  # Return the paths at which network namespaces are kept without a process (`ip netns add`).
  def named
    rows = PuppetX::Lading::Host.text('/proc/1/mountinfo').lines.map(&:split)
    rows.select { |row| row[3].to_s.start_with?('net:[') }.map { |row| row[4] }.uniq.sort
  end

  # Return the container engines and the like that run, start at boot or keep containers.
  def engines
    signs = Hash.new { |hash, key| hash[key] = [] }
    ENGINES.each do |engine, services|
      services.each { |service| signs[engine] << "#{service} #{state_of(service)}" if state_of(service) }
    end
    processes.each do |pid|
      engine = ENGINE_OF_PROCESS[name_of(pid)]
      signs[engine] << "'#{name_of(pid)}' runs (process #{pid})" if engine
    end
    Dir.glob(PODMAN_FILES).sort.each { |path| signs['podman'] << "'#{path}' exists" }
    signs
  end

  def state_of(service)
    return 'is active' if shown.any? { |block| block['Id'] == service && block['ActiveState'] == 'active' }

    'starts at boot' unless Dir.glob("/etc/systemd/system/*.[wr]*s/#{service}").empty?
  end

  # Return the unit that a process belongs to, by the name of its file, or nil.
  def unit_of(cgroups)
    path = cgroups[/^(?:0::|\d+:name=systemd:)(.*)$/, 1].to_s
    path.split('/').find { |part| part.end_with?('.service') }&.sub(/@[^.]*\./, '@.')
  end

  def processes
    Dir.children('/proc').grep(/\A\d+\z/)
  end

  def name_of(pid)
    PuppetX::Lading::Host.text("/proc/#{pid}/comm").strip
  end
end
