"""The six stages of the pipeline: one module, one public run() each."""
