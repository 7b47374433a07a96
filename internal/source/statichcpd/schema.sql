-- The database of statichcpd 3.09: tables, columns and triggers by the names
-- that controllers use. A controller writes configuration only; groups and
-- clients follow. Its own connection needs "pragma foreign_keys = on" for
-- unknown attributes to be refused and deletions to cascade.

create table if not exists valid_attributes (
	opcode int not null, max_count int not null, datatype int not null,
	constraint unique_opcode unique (opcode)
);
create table if not exists valid_v6attributes (
	opcode int not null, max_count int not null, datatype int not null,
	constraint unique_opcode unique (opcode)
);
create table if not exists client_groups (
	ifname text not null primary key, groupID text,
	unique (ifname, groupID)
);
create table if not exists clients (
	ifname text not null, groupID text, mac text not null,
	unique (ifname, groupID, mac),
	foreign key (ifname, groupID) references client_groups (ifname, groupID) on delete cascade
);
create table if not exists client_configuration (
	ifname text not null, groupID text, mac text not null,
	attr_code int not null, attr_val not null,
	unique (ifname, groupID, mac, attr_code, attr_val),
	foreign key (ifname, groupID, mac) references clients (ifname, groupID, mac) on delete cascade,
	foreign key (ifname, groupID) references client_groups (ifname, groupID) on delete cascade,
	foreign key (attr_code) references valid_attributes (opcode) on delete restrict
);
create table if not exists client_v6configuration (
	ifname text not null, groupID text, duid text not null,
	attr_code int not null, attr_val not null,
	unique (ifname, groupID, duid, attr_code, attr_val),
	foreign key (ifname, groupID, duid) references clients (ifname, groupID, mac) on delete cascade,
	foreign key (ifname, groupID) references client_groups (ifname, groupID) on delete cascade,
	foreign key (attr_code) references valid_v6attributes (opcode) on delete restrict
);

-- Controllers of old insert the client first.
create trigger if not exists client_insertion before insert on clients
when not exists (select 1 from client_groups where ifname = new.ifname)
begin
	insert into client_groups (ifname, groupID) values (new.ifname, new.groupID);
end;

create trigger if not exists client_deletion after delete on clients
when not exists (select 1 from clients where ifname = old.ifname and groupID is old.groupID)
begin
	delete from client_groups where ifname = old.ifname and groupID is old.groupID;
end;

-- A foreign key with a NULL in it is none, so nothing cascades without a group.
create trigger if not exists client_del_config_cleanup after delete on clients
when old.groupID is null
begin
	delete from client_configuration where ifname = old.ifname and mac = old.mac and groupID is null;
	delete from client_v6configuration where ifname = old.ifname and duid = old.mac and groupID is null;
end;

create trigger if not exists client_v4_cfg_insertion before insert on client_configuration
when new.groupID is null or not exists (select 1 from client_groups where ifname = new.ifname and groupID is null)
begin
	insert into client_groups (ifname, groupID) select new.ifname, new.groupID
		where not exists (select 1 from client_groups where ifname = new.ifname and groupID is new.groupID);
	insert into clients (ifname, groupID, mac) select new.ifname, new.groupID, new.mac
		where not exists (select 1 from clients where ifname = new.ifname and groupID is new.groupID and mac = new.mac);
end;

create trigger if not exists client_v6_cfg_insertion before insert on client_v6configuration
when new.groupID is null or not exists (select 1 from client_groups where ifname = new.ifname and groupID is null)
begin
	insert into client_groups (ifname, groupID) select new.ifname, new.groupID
		where not exists (select 1 from client_groups where ifname = new.ifname and groupID is new.groupID);
	insert into clients (ifname, groupID, mac) select new.ifname, new.groupID, new.duid
		where not exists (select 1 from clients where ifname = new.ifname and groupID is new.groupID and mac = new.duid);
end;

-- A row with a group takes the interface over from rows without one.
create trigger if not exists client_v4_cfg_replace before insert on client_configuration
when new.groupID is not null and exists (select 1 from client_groups where ifname = new.ifname and groupID is null)
begin
	replace into client_groups (ifname, groupID) values (new.ifname, new.groupID);
	replace into clients (ifname, groupID, mac) values (new.ifname, new.groupID, new.mac);
end;

create trigger if not exists client_v6_cfg_replace before insert on client_v6configuration
when new.groupID is not null and exists (select 1 from client_groups where ifname = new.ifname and groupID is null)
begin
	replace into client_groups (ifname, groupID) values (new.ifname, new.groupID);
	replace into clients (ifname, groupID, mac) values (new.ifname, new.groupID, new.duid);
end;

-- The last row of a client takes the client, and perhaps its group, with it.
create trigger if not exists client_v4_cfg_deletion after delete on client_configuration
when not exists (select 1 from client_configuration where ifname = old.ifname and mac = old.mac and groupID is old.groupID)
	and not exists (select 1 from client_v6configuration where ifname = old.ifname and duid = old.mac and groupID is old.groupID)
begin
	delete from clients where ifname = old.ifname and groupID is old.groupID and mac = old.mac;
end;

create trigger if not exists client_v6_cfg_deletion after delete on client_v6configuration
when not exists (select 1 from client_v6configuration where ifname = old.ifname and duid = old.duid and groupID is old.groupID)
	and not exists (select 1 from client_configuration where ifname = old.ifname and mac = old.duid and groupID is old.groupID)
begin
	delete from clients where ifname = old.ifname and groupID is old.groupID and mac = old.duid;
end;
