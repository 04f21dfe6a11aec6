# frozen_string_literal: true

module PuppetX; end
module PuppetX::Lading; end

# The small questions that several types ask.
module PuppetX::Lading::Host
  # Return a file's text, empty when it cannot be read: a process that ended, a file that is not there.
  def self.text(path)
    File.read(path, encoding: 'UTF-8').scrub('?')
  rescue SystemCallError
    ''
  end

  # Return the file of a kernel setting.
  def self.sysctl_path(key)
    "/proc/sys/#{key.tr('.', '/')}"
  end

  # Return a kernel setting's value, its white space normalised; nil when this kernel does not have it.
  def self.sysctl(key)
    File.exist?(sysctl_path(key)) ? text(sysctl_path(key)).split.join(' ') : nil
  end

  # Tell whether systemd runs this very tree, by the signs that its own programs go by.
  def self.booted?
    File.directory?('/run/systemd/system') && File.identical?('/proc/1/root', '/')
  end
end
