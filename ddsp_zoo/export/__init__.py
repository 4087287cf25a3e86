"""What leaves the program: notes (`midi`), controls (`controls`), pictures (`plots`) and folders (`folder`)."""
