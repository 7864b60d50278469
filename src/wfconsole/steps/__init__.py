"""What each kind of step does with the ports. One file a kind; nothing here knows a database, an engine or a screen."""
