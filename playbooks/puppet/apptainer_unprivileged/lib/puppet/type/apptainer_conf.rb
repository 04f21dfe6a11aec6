# frozen_string_literal: true

require_relative '../../puppet_x/lading/directives'

Puppet::Type.newtype(:apptainer_conf) do
  @doc = <<~DOC
    Single directives of apptainer.conf, each on its own line. What stood there is remembered; a directive that is no
    longer named gets its former line back. A directive that the file does not mention, and a value that its comments
    rule out, are refused.

        apptainer_conf { 'this node':
          settings => { 'bind path' => ['/srv/site-data'], 'mount dev' => 'minimal' },
        }
  DOC

  newparam(:name, namevar: true) do
    desc 'Any name; there is one such file.'
  end

  newproperty(:settings) do
    desc 'Directive to value. A list adds one line for each value that is missing and leaves the other lines.'

    munge do |value|
      value.transform_values { |item| item.is_a?(Array) ? item.map { |one| word(one) } : word(item) }
    end

    # Return a value as the file writes it: Puppet's true is Apptainer's yes.
    def word(value)
      { true => 'yes', false => 'no' }.fetch(value, value.to_s)
    end

    def retrieve
      # In a rehearsal on a host where the package is still to come nothing more can be told.
      return :absent unless now

      done, text = plan
      (should.empty? && known.empty?) || (text == now['content'] && done == known) ? :as_set : :different
    end

    def insync?(current)
      current == :as_set || (current == :absent && should.empty?)
    end

    def sync
      path = PuppetX::Lading::Directives::PATH
      raise Puppet::Error, "There is no '#{path}' on this host, so its directives cannot be set." unless now

      done, text = plan
      record = PuppetX::Lading::Record.new('apptainer')
      record.data['directives'] = done
      record.data.delete('directives') if done.empty?
      record.save
      PuppetX::Lading::Entry.write(path, now.merge('content' => text))
    end

    def change_to_s(_current, wanted)
      "directives set: #{wanted.map { |name, value| "#{name} = #{[value].flatten.join(', ')}" }.join('; ')}"
    end

    private

    def now
      PuppetX::Lading::Entry.read(PuppetX::Lading::Directives::PATH)
    end

    def known
      PuppetX::Lading::Record.new('apptainer')['directives']
    end

    # Return what the record is to say, and the file's new text.
    def plan
      directives = PuppetX::Lading::Directives.new(now['content'], known)
      [directives.put(should), directives.text]
    end
  end
end
