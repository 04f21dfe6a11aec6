# frozen_string_literal: true

require_relative '../../../puppet_x/lading/packages'

Puppet::Type.type(:package).provide :recorded_apt, parent: :apt do
  desc <<~DOC
    apt, which remembers for the undo what an installation or a removal has brought and taken. With a range such as
    `>=1.4.5` it installs the version that apt's own preferences choose, and fails if that is not in the range.
  DOC

  has_feature :versionable, :version_ranges

  def install
    refuse_old_file if @resource[:source]
    recorded do
      aptget('-q', 'update')
      aptget('-q', '-y', *PuppetX::Lading::Packages::KEEP_EDITED, 'install', @resource[:source] || @resource[:name])
    end
    now = query[:ensure]
    raise Puppet::Error, "The version that came is #{now}; #{@resource[:ensure]} is needed." unless fits?(now)
  end

  def uninstall
    recorded { super }
  end

  # An installation that was killed is gone through again, so that the record says what it brought.
  def insync?(now)
    record.data.key?('packages_before') ? false : super
  end

  private

  def record
    PuppetX::Lading::Record.new('apptainer')
  end

  def recorded
    record.tap { |before| PuppetX::Lading::Packages.new.note(before) }.save
    yield
  ensure
    record.tap { |after| PuppetX::Lading::Packages.new.settle(after) }.save
  end

  def refuse_old_file
    version = dpkg_deb('--field', @resource[:source], 'Version').strip
    return if fits?(version)

    raise Puppet::Error, "'#{@resource[:source]}' holds #{version}; #{@resource[:ensure]} is needed."
  end

  def fits?(version)
    version.is_a?(String) && self.class.superclass.instance_method(:insync?).bind_call(self, version)
  end
end
