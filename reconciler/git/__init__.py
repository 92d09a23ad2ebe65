"""Git: fetch into a cache, read objects, push with compare-and-swap. The only package that talks to Git."""
