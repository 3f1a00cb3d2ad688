"""Simulated cabinets: they speak the real protocol over real MQTT and can fail as hardware does."""
