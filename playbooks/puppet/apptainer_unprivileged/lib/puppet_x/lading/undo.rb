# frozen_string_literal: true

require_relative 'directives'
require_relative 'host'
require_relative 'packages'
require_relative 'record'

# Puts back what a record knows. What somebody else has changed since stays, and is told.
class PuppetX::Lading::Undo
  # @param record [PuppetX::Lading::Record]
  # @param resource [Puppet::Type] whose log is written to
  def initialize(record, resource)
    @record = record
    @resource = resource
  end

  # Return what the record is about, for the report.
  def self.summary(record)
    parts = record.data.reject { |part, it| it.empty? || part == 'folders' || part.end_with?('_before') }
    parts.map { |part, it| "#{part.tr('_', ' ')} #{(it.is_a?(Hash) ? it.keys : it).join(', ')}" }.join('; ')
  end

  def run
    restore_directives
    restore_packages if @record.data.keys.any? { |part| part.start_with?('packages') }
    @record['sysctls'].each { |key, known| restore_sysctl(key, known) }
    @record['files'].each { |path, known| restore_file(path, known) }
    @record['put_back'].each { |path, entry| PuppetX::Lading::Entry.write(path, entry) unless there?(path) }
    @record.data.fetch('folders', []).reverse_each { |folder| PuppetX::Lading::Entry.remove_empty(folder) }
    @record.forget
  end

  private

  def restore_directives
    path = PuppetX::Lading::Directives::PATH
    now = PuppetX::Lading::Entry.read(path)
    return unless now&.key?('content') && @record['directives'].any?

    text = PuppetX::Lading::Directives.new(now['content'], @record['directives']).text
    PuppetX::Lading::Entry.write(path, now.merge('content' => text)) unless text == now['content']
  end

  def restore_packages
    packages = PuppetX::Lading::Packages.new
    packages.settle(@record)
    former = @record['packages_replaced'].reject { |name, version| packages.versions[name] == version }
    specifications = former.map { |name, version| "#{name}=#{version}" }.sort
    refuse_unoffered(packages.unoffered(specifications))
    # The former version comes first: what it needs is then not taken away, and containers that run go on.
    apt_get('install', '--allow-downgrades', *specifications) if specifications.any?
    remove(PuppetX::Lading::Packages.new)
    marked = @record.data.fetch('packages_automatic', []) & former.keys
    execute('apt-mark', 'auto', *marked) if marked.any?
  end

  def refuse_unoffered(missing)
    return if missing.empty?

    raise Puppet::Error,
          "The repositories of this host do not offer #{missing.join(', ')}, which it had before. Offer it and fetch " \
          'the lists (apt-get update), or install it by hand; then run this again. No package was changed.'
  end

  def remove(packages)
    added = @record.data.fetch('packages_added', [])
    going = packages.removable(added)
    staying = (added & packages.versions.keys) - going
    tell("These came with apptainer and stay, as something else needs them: #{staying.join(', ')}") if staying.any?
    return if going.empty?

    keep(packages.edited(going))
    apt_get('purge', *going)
  end

  # Note the files that would go with the packages but must not, as they are now: they are put back at the end.
  def keep(edited)
    tell("Edited, so these files stay: #{edited.join(', ')}") if edited.any?
    files = @record['put_back'].reject { |_, entry| entry.key?('link') }.keys | edited
    now = files.to_h { |path| [path, PuppetX::Lading::Entry.read(path)] }.compact
    return if now.empty?

    @record.part('put_back').update(now)
    @record.save
  end

  def restore_sysctl(key, known)
    now = PuppetX::Lading::Host.sysctl(key)
    return if now.nil? || now == known['former']

    if now == known['written']
      File.write(PuppetX::Lading::Host.sysctl_path(key), known['former'])
    else
      tell("'#{key}' is '#{now}', which this module did not set; it stays.")
    end
  end

  def restore_file(path, known)
    now = PuppetX::Lading::Entry.read(path)
    former = known['former']
    return if now.nil? || now == former

    if known['written'] && PuppetX::Lading::Entry.digest(now['content'].to_s) != known['written']
      tell("'#{path}' was edited after this module wrote it; it stays.")
    elsif former
      PuppetX::Lading::Entry.write(path, former)
    else
      File.unlink(path)
    end
  end

  def there?(path)
    File.exist?(path) || File.symlink?(path)
  end

  def apt_get(action, *arguments)
    execute('apt-get', '-q', '-y', *PuppetX::Lading::Packages::KEEP_EDITED, action, *arguments)
  end

  def execute(*command)
    environment = { 'DEBIAN_FRONTEND' => 'noninteractive' }
    Puppet::Util::Execution.execute(command, failonfail: true, custom_environment: environment)
  end

  def tell(message)
    @resource.warning(message)
  end
end
