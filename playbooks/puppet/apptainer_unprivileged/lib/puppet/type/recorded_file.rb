# frozen_string_literal: true

require_relative '../../puppet_x/lading/record'

Puppet::Type.newtype(:recorded_file) do
  @doc = <<~DOC
    Remembers what lies at a path before this module writes there, and then declares that path, and the folders that it
    needs, with the type `file`. So what purges undeclared files leaves them alone.

        recorded_file { '/etc/sysctl.d/90-max_net_namespaces.conf':
          content => "user.max_net_namespaces = 0\\n",
          record  => 'worker_namespaces',
        }
  DOC

  newparam(:path, namevar: true) do
    desc 'The file, owned by root with mode 0644.'
  end

  newparam(:content) do
    desc 'What the file holds.'
  end

  newparam(:record) do
    desc 'The record to write to.'
    newvalues(*PuppetX::Lading::NAMES)
  end

  newproperty(:remembered) do
    desc 'Whether the record knows what was there, or nothing has to be written.'
    newvalue(:true)
    defaultto :true

    def retrieve
      resource.refuse_link
      resource.as_wanted? || resource.known? ? :true : :false
    end

    def sync
      resource.remember
    end

    def change_to_s(_current, _wanted)
      'what was there before is remembered for the undo'
    end
  end

  validate do
    %i[content record].each { |name| raise Puppet::Error, "'#{name}' is missing." if self[name].nil? }
  end

  def generate
    folders = PuppetX::Lading::Entry.missing_folders(self[:path])
    [*folders.map { |folder| declare(folder, ensure: :directory, mode: '0755') },
     declare(self[:path], ensure: :file, mode: '0644', content: self[:content])]
  end

  def refuse_link
    return unless File.symlink?(self[:path])

    raise Puppet::Error, "'#{self[:path]}' is a symbolic link. Replace it by a plain file or remove it, then try again."
  end

  def as_wanted?
    now = PuppetX::Lading::Entry.read(self[:path])
    !now.nil? && now['content'] == self[:content] && now['mode'] == '0644'
  end

  def known?
    record = stored
    entry = record['files'][self[:path]]
    made = PuppetX::Lading::Entry.missing_folders(self[:path]) - record.data.fetch('folders', [])
    !entry.nil? && entry['written'] == PuppetX::Lading::Entry.digest(self[:content]) && made.empty?
  end

  def remember
    record = stored
    entry = record.part('files')[self[:path]] ||= { 'former' => PuppetX::Lading::Entry.read(self[:path]) }
    entry['written'] = PuppetX::Lading::Entry.digest(self[:content])
    record.data['folders'] = record.data.fetch('folders', []) | PuppetX::Lading::Entry.missing_folders(self[:path])
    record.save
  end

  private

  def stored
    PuppetX::Lading::Record.new(self[:record].to_s)
  end

  def declare(path, **attributes)
    attributes = { path: path, owner: 'root', group: 'root', notify: self[:notify], **attributes }.compact
    Puppet::Type.type(:file).new(attributes).tap { |made| made.file, made.line = file, line }
  end
end
