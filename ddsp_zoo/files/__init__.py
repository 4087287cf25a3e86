"""Files: audio in and out, folders and files that appear when complete, the cache, downloads."""
