"""x"""
NAME="franz_go"
NEEDS="x"
CANNOT: dict[str,str] = {}
