"""Sizes for people."""


def size_text(size: int) -> str:
    """Return a number of bytes in words.

    Example:
        ```python
        from lading.sizes import size_text

        print(size_text(0), size_text(512 * 1024), size_text(3 * 1024**3))
        #> 0.0 MiB 0.5 MiB 3.0 GiB
        ```
    """
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.1f} MiB"
