"""Configuration: every key, the texts that give values to keys, the settings that code reads.

A value begins as text, in one of three places: a `.properties` file with the command line over it, an AlterConfigs
request, a ConfigRecord in the cluster's log. It ends as an attribute of `BrokerConfig` or `LogConfig`. Between the two,
in this order:

* `properties.py`: Java's file format.
* `providers.py`: values that are kept elsewhere, `${env:NAME}` and the like, put in their places.
* `keys/`: each key's type, default, allowed values, who may change it, and what it does here.
* `listener_specs.py`: the small languages of `listeners` and its companions.
* `settings.py`: the layers of values, and the settings in force.
* `loading.py`: a file and flags to settings, or the sentence for the person who wrote them.
* `topics.py`: the overrides of a topic to the settings by which its logs are kept.
"""
