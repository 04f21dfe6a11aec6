# frozen_string_literal: true

require 'digest'
require 'fileutils'
require 'tempfile'

module PuppetX; end
module PuppetX::Lading; end

# What lies at a path, as a record keeps it: content, mode and owner of a file, or where a symbolic link leads.
module PuppetX::Lading::Entry
  # A byte that is no UTF-8 has a character of a private plane in its stead, so that any file can be remembered.
  NO_TEXT = /[\u{10ff80}-\u{10ffff}]/

  def self.stand_in(byte)
    [0x10ff00 + byte].pack('U')
  end

  # Return what there is at a path, or nil.
  def self.read(path)
    return { 'link' => File.readlink(path) } if File.symlink?(path)
    return nil unless File.file?(path)

    stat = File.stat(path)
    text = File.binread(path).force_encoding('UTF-8').scrub { |bytes| bytes.bytes.map { |byte| stand_in(byte) }.join }
    { 'content' => text, 'mode' => format('%04o', stat.mode & 0o7777), 'uid' => stat.uid, 'gid' => stat.gid }
  end

  # Put an entry in place at once.
  def self.write(path, entry)
    FileUtils.mkdir_p(File.dirname(path), mode: 0o755)
    if entry.key?('link')
      FileUtils.rm_f(path)
      return File.symlink(entry['link'], path)
    end
    Tempfile.create('.lading', File.dirname(path), binmode: true) do |file|
      file.write(bytes(entry['content']))
      file.chown(entry.fetch('uid', 0), entry.fetch('gid', 0))
      file.chmod(entry['mode'].to_i(8))
      file.fsync
      File.rename(file.path, path)
    end
  end

  # Return the digest by which the undo knows what nobody has touched since.
  def self.digest(content)
    Digest::SHA256.hexdigest(bytes(content))
  end

  def self.bytes(content)
    content.each_char.map { |char| char.match?(NO_TEXT) ? (char.ord & 0xff).chr : char.b }.join
  end

  # Return what there is at these paths, and in the folders among them. A link into Debian's alternatives is a
  # package's.
  def self.below(paths)
    found = paths.flat_map { |path| [path, *Dir.glob("#{path}/**/*", File::FNM_DOTMATCH)] }.uniq
    entries = found.to_h { |path| [path, read(path)] }.compact
    entries.reject { |_, entry| entry['link'].to_s.start_with?('/etc/alternatives/') }
  end

  # Return the folders that are missing on the way to a path, outermost first.
  def self.missing_folders(path)
    folder = File.dirname(path)
    File.directory?(folder) ? [] : [*missing_folders(folder), folder]
  end

  def self.remove_empty(folder)
    Dir.rmdir(folder) if Dir.exist?(folder) && Dir.empty?(folder)
  end
end
