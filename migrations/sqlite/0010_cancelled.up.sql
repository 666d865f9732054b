-- A run is asked to be cancelled until it has ended; whether its owner was told says nothing more.
ALTER TABLE runs DROP COLUMN cancel_told;
