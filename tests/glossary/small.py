"""A small glossary to do things to: six concepts, one word with three meanings, and names that changed."""

from typing import Any

import yaml

from lading.glossary.ledger import FILE as LEDGER
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.model import Glossary
from lading.recipe.yamlfile import Document
from tests.workshop import Workshop

SMALL = """\
contexts:
  general:
    label: General
    help: >
      What holds wherever no narrower
      context says otherwise.
  docker:
    label: Docker, Podman and the OCI
    help: Engines that keep images as layers.
    files: ["docs/docker/**"]
  apptainer:
    label: Apptainer
    help: Containers that are one file, run by a user.
    files: ["docs/apptainer.md"]
  vm:
    label: Virtual machines
    help: Guests with a kernel of their own.

sources:
  oci-image:
    title: OCI image specification
    url: https://site.example/oci/image?version={1.1}
    read: 2026-11-20
  apptainer-manual:
    title: Apptainer's manual, «Introduction»
    url: https://site.example/apptainer
    read: 2026-11-21
  renaming:
    title: The announcement of the new name
    url: https://site.example/renaming
    read: 2026-11-21
  own-page:
    title: The page of the demonstration
    page: docs/paths/compute/demo.md
    read: 2026-11-21

acronyms:
  WLCG: Worldwide LHC Computing Grid
  LHC: Large Hadron Collider

renamed:
  hub: registry
  store: hub

concepts:
  image:
    group: images
    senses:
      docker:
        definition: >
          Layers and a manifest that an engine
          makes containers from.
        preferred: Docker image
        admitted: [image, OCI image]
        forbidden:
          image file: {say: Docker image, because: It is kept as layers and never as one file.}
          container template: {say: Docker image, because: Nothing in it is filled in.}
        forms:
          Docker image: [Docker images]
          image: [images]
          OCI image: [OCI images]
          image file: [image files]
        sources: [oci-image]
        related: [registry, engine]
        note: Its name is a tag, and what never changes is its digest.
        good: ["An OCI image has layers; pull the Docker image.", "Two images share them."]
        bad: ["Copy the image file.", "Start the container template."]
      apptainer:
        definition: A root file system that is run as one file or one folder.
        preferred: Apptainer image
        admitted: [image, image file]
        forms:
          Apptainer image: [Apptainer images]
          image: [images]
        sources: [apptainer-manual]
        related: [image/docker]
        good: ["Copy the image file."]
      vm:
        definition: A disk that a virtual machine starts from.
        preferred: VM image
        admitted: [image, disk image]
        forms: {VM image: [VM images], image: [images], disk image: [disk images]}
        sources: [oci-image]
  container:
    group: containers
    senses:
      general:
        definition: Processes to which the kernel shows a world of their own.
        preferred: container
        forms: {container: [containers]}
        sources: [oci-image]
        witnesses:
          - {path: demo, check: "test_demo.py::test_it_is_there", shows: The world is there.}
      docker:
        definition: A container that an engine made from an image, and that stays when its processes have ended.
        preferred: container
        admitted: [Docker container]
        deprecated:
          lightweight VM: {say: Docker container, because: It has no kernel of its own., fix: true}
        forms: {container: [containers], Docker container: [Docker containers]}
        sources: [oci-image]
        broader: container/general
        related: [image]
        good: ["The container is kept."]
        bad: ["Start the lightweight VM."]
  apptainer:
    group: containers
    senses:
      general:
        definition: A program that runs containers for users, without a service.
        preferred: Apptainer
        deprecated:
          Singularity:
            say: Apptainer
            because: The project was renamed in 2021.
            unless: [Singularity Community Edition, SingularityCE]
        sources: [apptainer-manual]
        broader: engine
        related: [sif]
        history:
          - {name: Singularity, until: "until 2021, when it moved to the Linux Foundation.", source: renaming}
        good: ["Apptainer runs it.", "Singularity Community Edition went another way."]
        bad: ["Singularity runs it."]
  sif:
    group: images
    senses:
      apptainer:
        definition: The format of one file that holds an image, its recipe and its signatures.
        preferred: SIF
        admitted: [SIF file]
        exact: [SIF]
        forms: {SIF file: [SIF files]}
        sources: [apptainer-manual]
        broader: image
        good: ["Two SIF files, each one a SIF."]
  registry:
    group: images
    senses:
      general:
        definition: A service from which OCI images are pulled by name.
        preferred: registry
        forms: {registry: [registries]}
        sources: [own-page]
  engine:
    group: containers
    senses:
      general:
        definition: A program that makes containers and runs them.
        preferred: container engine
        admitted: [engine]
        forms: {engine: [engines], container engine: [container engines]}
        sources: [oci-image]
        related: [container]
"""

LEDGER_TEXT = "".join(
    f"{name}\n"
    for name in (
        "apptainer",
        "apptainer/general",
        "container",
        "container/docker",
        "container/general",
        "engine",
        "engine/general",
        "hub",
        "image",
        "image/apptainer",
        "image/docker",
        "image/vm",
        "registry",
        "registry/general",
        "sif",
        "sif/apptainer",
        "store",
    )
)


def small() -> str:
    """Return the glossary as YAML; its only witness is the check of the workshop's path `demo`."""
    return SMALL


def write_small(workshop: Workshop, text: str = SMALL) -> None:
    """Write the glossary, or a changed one, and the list of its ids into a workshop."""
    workshop.write("glossary.yml", text)
    workshop.write(LEDGER, LEDGER_TEXT)


def document_of(text: str) -> Document:
    """Return a glossary's YAML with its lines."""
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    return Document("glossary.yml", yaml.safe_load(text), node)


def loaded_of(text: str = SMALL) -> LoadedGlossary:
    """Return a glossary from its YAML, without a catalogue around it."""
    document = document_of(text)
    return LoadedGlossary(Glossary.model_validate(document.data), document)


def data_of(loaded: LoadedGlossary, concept: str, context: str) -> Any:
    """Return what a glossary's file says of a sense, to be changed."""
    return loaded.document.data["concepts"][concept]["senses"][context]
