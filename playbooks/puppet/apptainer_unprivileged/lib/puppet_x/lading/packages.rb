# frozen_string_literal: true

require 'digest'

require_relative 'record'

# Which packages there are, what an installation brought, and which of it may go again.
class PuppetX::Lading::Packages
  FORMAT = '${db:Status-Abbrev}\t${Package}\t${Version}\t${Pre-Depends},${Depends},${Recommends}\t${Provides}\n'
  PACKAGE = 'apptainer'
  # Nobody is there to be asked: an edited configuration file stays, with the package's beside it.
  KEEP_EDITED = %w[-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold].freeze
  # What may be there already when the package first comes, and comes back when it goes.
  TAKEN_OVER = %w[/etc/apptainer /usr/bin/singularity /usr/bin/run-singularity].freeze
  # What dpkg leaves beside a configuration file, and the backups that it purges with one.
  ASIDES = %w[.dpkg-dist .dpkg-new .dpkg-old].freeze
  BACKUPS = %w[~ .bak %].freeze

  # Ask dpkg once for all.
  def initialize
    rows = run('dpkg-query', '-W', '-f', FORMAT).lines(chomp: true).map { |line| line.split("\t", -1) }
    installed = rows.select { |row| row[0].to_s.start_with?('ii', 'hi') }
    @packages = installed.to_h { |row| [row[1], { version: row[2], needs: names(row[3]), provides: names(row[4]) }] }
  end

  def versions
    @packages.transform_values { |facts| facts[:version] }
  end

  # Note what there is, once: a run that was stopped half-way goes on with the first note.
  def note(record)
    data = record.data
    return if data.key?('packages_before')

    data.update('packages_before' => versions, 'automatic_before' => automatic)
    if versions.key?(PACKAGE)
      data['asides_before'] = asides
    elsif (there = PuppetX::Lading::Entry.below(TAKEN_OVER)).any?
      data['put_back'] ||= there
    end
  end

  # Turn the note into what the installation did.
  def settle(record)
    data = record.data
    before, marked = data.delete('packages_before'), data.delete('automatic_before')
    settle_asides(record, data.delete('asides_before'))
    return if before.nil?

    gone = before.reject { |name, _| versions.key?(name) }
    gone[PACKAGE] = before[PACKAGE] if before.key?(PACKAGE) && versions[PACKAGE] != before[PACKAGE]
    data['packages_added'] = (data.fetch('packages_added', []) | (versions.keys - before.keys)).sort
    data['packages_replaced'] = gone.merge(record['packages_replaced'])
    marked = (marked || []) & gone.keys
    data['packages_automatic'] = (data.fetch('packages_automatic', []) | marked).sort unless marked.empty?
  end

  # Return what may go of the packages that were brought.
  def removable(added)
    candidates = added & @packages.keys
    (candidates - kept(candidates)).sort
  end

  # Return the configuration files that differ from what dpkg delivered, and the backups beside all of them.
  def edited(packages)
    delivered = conffiles(packages)
    changed = delivered.select { |path, md5| File.file?(path) && Digest::MD5.file(path).hexdigest != md5 }.keys
    backups = delivered.keys.product(BACKUPS).map(&:join).select { |path| File.file?(path) }
    (changed + backups).sort
  end

  # Return the versions, as apt is told them, that no repository of the host offers.
  def unoffered(specifications)
    specifications.select do |said|
      # For another version than those offered it prints nothing, and ends with 0 all the same.
      Puppet::Util::Execution.execute(['apt-cache', 'show', said], failonfail: false, combine: false).empty?
    end
  end

  private

  # Remember what the installation left beside configuration files, so that the undo removes it whatever it holds.
  def settle_asides(record, before)
    return if before.nil?

    asides.each do |path, entry|
      record.part('files')[path] ||= { 'former' => before[path], 'written' => nil } unless entry == before[path]
    end
  end

  def asides
    PuppetX::Lading::Entry.below(conffiles([PACKAGE]).keys.product(ASIDES).map(&:join))
  end

  # Return the configuration files of packages, with their MD5 as delivered.
  def conffiles(packages)
    return {} if packages.empty?

    rows = run('dpkg-query', '-W', '-f', '${Conffiles}\n', *packages).lines.map(&:split)
    rows.select { |row| row.length == 2 && row[0].start_with?('/') }.to_h
  end

  # Return the packages that apt counts as brought in by others.
  def automatic
    run('apt-mark', 'showauto').split.map { |name| name[/\A[^:]+/] } & @packages.keys
  end

  # Return the candidates that packages outside them need, or that somebody has marked as wanted. An alternative counts
  # as a need: better to leave a package too many than to take one that is in use.
  def kept(candidates)
    kept = candidates - automatic - [PACKAGE]
    loop do
      going = candidates - kept
      wanted = @packages.except(*going).values.flat_map { |facts| facts[:needs] }
      more = going.reject { |name| (wanted & [name, *@packages[name][:provides]]).empty? }
      return kept if more.empty?

      kept |= more
    end
  end

  # Return every name in a Debian relation field, alternatives and all.
  def names(relation)
    relation.to_s.split(/[,|]/).map { |item| item.strip[/\A[^\s(:]+/] }.compact.uniq
  end

  def run(*command)
    Puppet::Util::Execution.execute(command, failonfail: true, combine: false)
  end
end
