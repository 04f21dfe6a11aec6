"""The laboratory: throwaway guests in QEMU, made from distribution packages, restored from snapshots."""
