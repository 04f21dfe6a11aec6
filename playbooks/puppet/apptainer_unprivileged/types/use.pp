# @summary What may break without network namespaces although it is in use.
type Apptainer_unprivileged::Use = Enum['network-namespaces', 'docker', 'podman', 'libvirt', 'kubelet', 'lxc', 'units']
