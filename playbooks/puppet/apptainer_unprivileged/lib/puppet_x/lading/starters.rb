# frozen_string_literal: true

require_relative 'host'

# What Apptainer and its forerunners have left on a host.
module PuppetX::Lading::Starters
  PLACES = %w[
    /usr/libexec/*/bin/starter-suid /usr/local/libexec/*/bin/starter-suid /usr/lib/*/*/bin/starter-suid
    /usr/lib/*/bin/starter-suid /opt/*/libexec/*/bin/starter-suid
  ].freeze
  # The package's alternatives take these over from whoever else has made a link there.
  FORMER_COMMANDS = %w[/usr/bin/singularity /usr/bin/run-singularity].freeze
  ENDINGS = %w[.rpmnew .rpmsave .rpmorig .dpkg-dist .dpkg-new .dpkg-old .ucf-dist].freeze

  # Return the starters that carry the setuid bit, each with the package that it belongs to, or an empty name.
  def self.setuid
    found = Dir.glob(PLACES).map { |path| File.realpath(path) }.uniq.sort.select { |path| File.setuid?(path) }
    found.to_h { |path| [path, owner(path)] }
  end

  def self.owner(path)
    answer = IO.popen(['dpkg-query', '-S', path], err: File::NULL, &:read)
    answer[/\A[^:,]+/].to_s
  end

  # Return what an upgrade or a migration left to merge or delete.
  def self.leftovers
    old = Dir.exist?('/etc/singularity') ? ['/etc/singularity'] : []
    old + Dir.glob('/etc/{apptainer,singularity}/**/*').select { |path| path.end_with?(*ENDINGS) }.sort
  end

  # Return the former commands that are somebody's own links, each with where it leads.
  def self.taken_over
    links = FORMER_COMMANDS.select { |path| File.symlink?(path) }.to_h { |path| [path, File.readlink(path)] }
    links.reject { |_, to| to.start_with?('/etc/alternatives/', 'apptainer') }.map { |path, to| "#{path} -> #{to}" }
  end
end
