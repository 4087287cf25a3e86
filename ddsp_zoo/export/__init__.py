"""Files for other programs: notes (`midi`), controls (`controls`), pictures (`plots`) and folders (`folder`)."""
