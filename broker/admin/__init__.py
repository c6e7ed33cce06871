"""What an administrator asks for, above the coordinators: the configs of brokers, topics, groups and loggers.

The coordinators keep overrides as text and know nothing of the keys' meaning; `broker/config` knows the keys and
nothing of what is stored. This room brings both together, for the handlers of DescribeConfigs, AlterConfigs and
IncrementalAlterConfigs.

* `config_description.py`: the entries of a resource with their sources and synonyms, as DescribeConfigs shows them.
* `stored_configs.py`: what is stored and has no effect here, which is said at the start.
* `alterations.py`: the resources of a request, changed part by part.
* `config_changes.py`: what a request makes of a resource's overrides, or the code with which it is refused.
"""
