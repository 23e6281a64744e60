"""The workchains of stability-indicated sampling and their protocols."""
