"""Reading and writing the files of DeePMD-kit as plain Python, without AiiDA."""
