# frozen_string_literal: true

require_relative '../puppet_x/lading/apt_sources'
require_relative '../puppet_x/lading/starters'
require_relative '../puppet_x/lading/sysctl_files'

# What the class needs to know for its catalogue: little, cheap to ask, and the same from run to run. What changes by
# the minute, such as what uses network namespaces, is asked where the catalogue is applied.
Facter.add(:apptainer_unprivileged) do
  confine kernel: 'Linux'
  confine { Facter.value('os.family') == 'Debian' }
  setcode do
    {
      'apt_source' => PuppetX::Lading::AptSources.of_release(Facter.value('os.distro.codename')),
      'setuid_starters' => PuppetX::Lading::Starters.setuid,
      'sysctls' => PuppetX::Lading::SysctlFiles.wanted,
    }
  end
end
