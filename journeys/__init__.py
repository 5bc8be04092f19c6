"""The domain: what an event, a stage and a journey are. No I/O, no clock, standard library only."""
