"""What is recorded: units, identifiers, tables, and read access for analysts. Imports none of the other packages."""
