"""x"""
NAME="kafkajs"
NEEDS="x"
CANNOT: dict[str,str] = {}
