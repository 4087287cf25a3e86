"""Files for other programs: notes (`midi`), of guitars (`tab`, `jams`, `string_midi`), tables, pictures, folders."""
