"""What moto's methods are replaced by, a module per thing that they are called on.

Imports the parts that the calls act on (`servers`, `balancer`, `database`, `fis`) and the account.
"""
