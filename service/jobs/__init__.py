"""Long work: how it is listed, looked at and cancelled."""
