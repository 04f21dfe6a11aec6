"""A glossary of a few concepts, with all that the site shows of one."""

GLOSSARY = """\
contexts:
  general: {label: General, help: Where nothing narrower holds.}
  docker: {label: Docker, help: Docker and its <kin>.}
  apptainer: {label: Apptainer, help: Apptainer., files: [docs/paths/compute/kettle.md]}
  cvmfs: {label: CVMFS, help: Trees of files.}
sources:
  book: {title: The book of <tea>, url: "https://site.example/book", read: 2026-11-01}
acronyms: {TLA: Three-letter acronym}
renamed: {picture: image, picture/docker: image/docker, drawing: picture}
concepts:
  image:
    group: images
    senses:
      docker:
        definition: Layers and a manifest, which `docker pull` fetches.
        preferred: Docker image
        admitted: [image]
        deprecated: {Docker picture: {say: Docker image, because: nobody says so, unless: [the Docker picture book]}}
        forms: {Docker image: [Docker images], image: [images]}
        sources: [book]
        related: [layer, kettle]
      apptainer:
        definition: One file, which the kernel or FUSE mounts.
        preferred: Apptainer image
        admitted: [image, SIF]
        forms: {image: [images]}
        exact: [SIF]
        history: [{name: Singularity image, until: "2021, when the project was renamed", source: book}]
        note: It is **not** a <b>tree</b>.
        witnesses: [{path: kettle, check: "test_worker.py::test_water_boils", shows: The water boils.}]
      cvmfs:
        definition: A tree of files in a repository.
        preferred: image tree
        admitted: [image]
  layer:
    group: images
    senses:
      docker:
        definition: A part of a Docker image.
        preferred: layer
        forms: {layer: [layers]}
        broader: image/docker
  worker-node:
    group: grid
    senses:
      general:
        definition: A host that runs jobs.
        preferred: worker node
        admitted: [WN]
        forbidden: {slave: {say: worker node, because: It hurts.}}
        forms: {worker node: [worker nodes]}
        sources: [book]
  kettle:
    group: project
    senses:
      general:
        definition: It <boils> "water" & *more*, &amp; so on.
        preferred: kettle
        sources: [book]
"""

VOCABULARY = {
    "docs/vocabulary/index.md": """\
# Words

/// words

## Images

/// concepts | images

## Grid

/// concepts | grid

## Project

/// concepts | project

## Contexts

/// all-contexts

/// acronyms
""",
    "docs/vocabulary/compare.md": "# Compare\n\n/// compare\n",
    "docs/vocabulary/coverage.md": "# Lacks\n\n/// vocabulary-coverage\n",
}
