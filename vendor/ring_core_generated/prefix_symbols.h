/* The ring package writes a prefix for each of its symbols here when it builds; none is needed. */
