# frozen_string_literal: true

require 'digest'
require 'fileutils'
require 'json'

require_relative 'entry'

module PuppetX::Lading
  RECORDS = '/var/lib/lading'
  NAMES = %w[apptainer worker_namespaces].freeze

  # What the module remembers of a host, so that its undo can put back what was there: one JSON file, readable by root
  # alone, as it may hold the former content of an admin's file. Names and form are those of the Ansible roles: what
  # one of the two managers has done, the other can undo.
  class Record
    attr_reader :path, :data

    # @param name [String] `apptainer` or `worker_namespaces`
    def initialize(name, folder = RECORDS)
      @path = File.join(folder, "#{name}.json")
      @data = File.exist?(@path) ? JSON.parse(decoded(File.read(@path, encoding: 'UTF-8'))) : {}
    end

    # Return a part of the record to read, empty when there is none.
    def [](part)
      @data.fetch(part, {})
    end

    # Return a part of the record to write to.
    def part(name)
      @data[name] ||= {}
    end

    # Replace the record at once, before what it is about changes: undo then works after a killed run as well.
    def save
      return forget if @data.empty?

      FileUtils.mkdir_p(File.dirname(@path), mode: 0o700)
      Entry.write(@path, 'content' => "#{encoded(JSON.pretty_generate(@data.sort.to_h))}\n", 'mode' => '0600')
    end

    # Remove the record; the folder stays while another record lies there.
    def forget
      FileUtils.rm_f(@path)
      Entry.remove_empty(File.dirname(@path))
    end

    private

    # Bytes that are no UTF-8 are in the file as Python writes them, as one half of a pair (PEP 383).
    def encoded(json)
      json.gsub(Entry::NO_TEXT) { |stand_in| format('\\udc%02x', stand_in.ord & 0xff) }
    end

    def decoded(json)
      json.gsub(/(?<!\\ud[89ab]\h\h)\\udc([89a-f]\h)/i) { Entry.stand_in(Regexp.last_match(1).hex) }
    end
  end
end
