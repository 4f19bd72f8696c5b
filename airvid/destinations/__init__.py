"""Where clips go: a file on this disk, or an object in a store of the user's own."""
