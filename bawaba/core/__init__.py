"""The ground floor: settings, clock, database, errors, events, secrets. It knows nobody."""
