"""Small tables in the styles of well-known public competitions, every value made up, and what each column is for."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.tables import RawTable, RawTables


@dataclass(frozen=True)
class Case:
    """Files as CSV text (cells in quotes may hold commas), and the right answers."""

    name: str  # of the folder
    train: str
    roles: str  # of train's columns in order, then of those in test alone
    target: str
    metric: str = "rmse"
    test: str | None = None
    sample: str | None = None
    sides: dict[str, str] = field(default_factory=dict)
    id: str = ""
    holdout: str | None = None  # with no test file: the column to sort by, or "" for rows at random
    folds: str | None = None
    joins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    formats: dict[str, tuple[str, ...]] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: str = ""  # --target

    @property
    def raw(self) -> RawTables:
        """The files as the reader hands them over."""
        return RawTables(
            train=table("train.csv", self.train),
            test=table("test.csv", self.test) if self.test is not None else None,
            sample=table("sample_submission.csv", self.sample) if self.sample is not None else None,
            sides={file: table(file, text) for file, text in self.sides.items()},
        )


def table(file: str, text: str, decimal: str = ".") -> RawTable:
    """Rows stand in lines or are parted by blanks and a stroke; every cell is a text."""
    lines = [line.strip() for line in text.strip().replace(" | ", "\n").split("\n")]
    header, *rows = list(csv.reader(io.StringIO("\n".join(lines))))
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(header)}
    return RawTable(file=file, columns=pa.table(columns), line_of=lambda row: row + 2, decimal=decimal)


CORPUS = (
    Case(
        name="house-prices",
        train="""Id,MSSubClass,LotArea,Alley,ExterQual,MasVnrType,Utilities,SalePrice
            1,60,8450,NA,Gd,BrkFace,AllPub,30000 | 2,20,9600,Grvl,TA,None,AllPub,100000
            3,60,11250,NA,Ex,None,AllPub,90000 | 4,70,9550,NA,Fa,None,AllPub,120000
            5,20,14260,Pave,TA,Stone,AllPub,150000 | 6,50,14115,NA,Gd,None,AllPub,600000""",
        test="""Id,MSSubClass,LotArea,Alley,ExterQual,MasVnrType,Utilities
            7,20,11622,NA,Po,None,AllPub | 8,60,14267,NA,TA,BrkFace,NA""",
        sample="Id,SalePrice | 7,1 | 8,1",
        roles="id categorical numeric categorical ordinal categorical constant target",
        target="SalePrice", id="Id", metric="log_rmse",
        levels={"ExterQual": ("Po", "Fa", "TA", "Gd", "Ex")},
    ),
    Case(
        name="bike-sharing-demand",
        train="""datetime,season,holiday,temp,casual,registered,count
            2011-01-01 00:00:00,1,0,9.84,3,13,16 | 2011-01-01 01:00:00,2,0,9.02,8,32,40
            2011-01-02 00:00:00,3,1,9.02,5,27,32 | 2011-01-02 01:00:00,4,0,8.2,1,2,3""",
        test="datetime,season,holiday,temp | 2011-01-20 00:00:00,1,0,10.66 | 2011-01-20 01:00:00,2,1,10.7",
        sample="datetime,count | 2011-01-20 00:00:00,0 | 2011-01-20 01:00:00,0",
        roles="id categorical boolean numeric train_only train_only target",
        target="count", id="datetime", metric="rmsle", formats={"datetime": ("%Y-%m-%d %H:%M:%S",)},
    ),
    Case(
        name="store-item-demand",
        train="""date,store,item,sales
            2013-01-01,1,1,13 | 2013-01-02,1,1,11 | 2013-01-01,2,1,14 | 2013-01-02,2,1,9
            2013-01-01,3,2,13 | 2013-01-02,3,2,10 | 2013-01-01,1,3,7 | 2013-01-02,1,3,8""",
        test="id,date,store,item | 0,2013-02-01,1,1 | 1,2013-02-01,2,1 | 2,2013-02-01,3,2",
        sample="id,sales | 0,5 | 1,5 | 2,5",
        roles="date group group target id",
        target="sales", id="id", metric="rmsle", formats={"date": ("%Y-%m-%d",)},
    ),
    Case(
        name="store-sales",
        train="""id,date,store_nbr,family,sales,onpromotion
            0,2013-01-01,1,BABY,0.0,0 | 1,2013-01-01,2,BABY,2.5,0 | 2,2013-01-02,1,BOOKS,3.0,4
            3,2013-01-02,3,BOOKS,1.5,2 | 4,2013-01-03,2,BABY,7.0,1""",
        test="id,date,store_nbr,family,onpromotion | 5,2013-02-01,1,BABY,0 | 6,2013-02-01,2,BOOKS,3",
        sample="id,sales | 5,0 | 6,0",
        sides={
            "stores.csv": "store_nbr,city,cluster | 1,Quito,13 | 2,Quito,8 | 3,Cuenca,9",
            "oil.csv": "date,dcoilwtico | 2013-01-01,93.1 | 2013-01-02,92.9 | 2013-01-03,93.0 | 2013-02-01,97.4",
            "transactions.csv": "date,store_nbr,transactions | 2013-01-01,1,770 | 2013-01-01,2,80 | 2013-01-02,1,9"
            " | 2013-01-02,3,8",
            "holidays_events.csv": "date,type | 2013-01-01,Holiday | 2013-01-01,Event",
            "notes.csv": "topic,words | a,b",
        },
        roles="id date group categorical target numeric",
        target="sales", id="id", formats={"date": ("%Y-%m-%d",)},
        joins={"stores.csv": ("store_nbr",), "oil.csv": ("date",), "transactions.csv": ("date", "store_nbr")},
    ),
    Case(
        name="taxi-trip-duration",
        train="""id,vendor_id,pickup_datetime,dropoff_datetime,passenger_count,store_and_fwd_flag,trip_duration
            id11,2,2016-03-14 17:24:55,2016-03-14 17:32:30,1,N,455
            id12,1,2016-06-12 00:43:35,2016-06-12 00:54:38,2,N,663
            id13,2,2016-01-19 11:35:24,2016-01-19 12:10:48,1,Y,2124
            id14,4,2016-04-06 19:32:31,2016-04-06 19:39:40,3,N,429""",
        test="""id,vendor_id,pickup_datetime,passenger_count,store_and_fwd_flag
            id21,1,2016-06-30 23:59:58,1,N | id22,2,2016-06-30 23:59:53,2,N""",
        sample="id,trip_duration | id21,900 | id22,900",
        roles="id group date train_only numeric boolean target",
        target="trip_duration", id="id", metric="rmse", formats={"pickup_datetime": ("%Y-%m-%d %H:%M:%S",)},
    ),
    Case(
        name="taxi-fare",
        train="""key,fare_amount,pickup_datetime,pickup_longitude,passenger_count
            k-1,4.5,2009-06-15 17:26:21 UTC,-73.84,1 | k-2,16.9,2010-01-05 16:52:16 UTC,-74.01,1
            k-3,5.7,2011-08-18 00:35:00 UTC,-73.98,2 | k-4,7.7,2012-04-21 04:30:42 UTC,-73.98,1""",
        test="key,pickup_datetime,pickup_longitude,passenger_count | k-5,2015-01-27 13:08:24 UTC,-73.97,1",
        roles="id target date numeric numeric",
        target="fare_amount", id="key", formats={"pickup_datetime": ("%Y-%m-%d %H:%M:%S UTC",)},
    ),
    Case(
        name="used-cars",
        train="""id,brand,model_year,milage,fuel_type,accident,price
            0,Ford,2013,"51,000 mi.",Gasoline,None reported,"$10,300"
            1,Audi,2018,"12,000 mi.",Hybrid,None reported,"$38,005"
            2,BMW,2015,"9,500 mi.",Gasoline,At least 1 accident,"$54,598"
            3,Ford,2020,"31,400 mi.",Diesel,None reported,"$15,500"
            4,Audi,2021,"42,000 mi.",Hybrid,None reported,"$34,999" """,
        test='id,brand,model_year,milage,fuel_type,accident | 5,Ford,2019,"8,000 mi.",Diesel,None reported',
        sample="id,price | 5,1",
        roles="id categorical numeric categorical categorical categorical target",
        target="price", id="id",
    ),
    Case(
        name="car-listings",
        train="""listing,mileage,engine_size,asking_price
            a1,"12,000",1.5,"1,900" | b7,"7,500",2.0,"12,500" | c3,"101,250",1.2,900 | d9,"33,000",1.6,"3,100"
            e2,980,2.2,"8,000" """,
        roles="categorical numeric numeric target",
        target="asking_price", holdout="",
    ),
    Case(
        name="insurance",
        train="""age,sex,bmi,children,smoker,region,charges
            19,female,27.9,0,yes,southwest,16884.9 | 18,male,33.77,1,no,southeast,1725.5
            28,male,33.0,3,no,southeast,4449.4
            33,male,22.7,0,no,northwest,21984.4 | 32,male,28.88,0,no,northwest,3866.8
            31,female,25.74,2,no,southeast,3756.6""",
        roles="numeric categorical numeric numeric boolean categorical target",
        target="charges", holdout="",
    ),
    Case(
        name="energy-hourly",
        train="""timestamp,building_id,meter_reading,air_temperature
            2016-01-01T00:00:00,1,0.5,25.0 | 2016-01-01T01:00:00,1,0.7,24.4 | 2016-01-01T00:00:00,2,11.5,25.0
            2016-01-01T01:00:00,2,12.5,24.4 | 2016-01-01T00:00:00,3,5.5,25.0 | 2016-01-01T01:00:00,3,6.5,24.4""",
        test="timestamp,building_id,air_temperature | 2017-01-01T00:00:00,1,17.8 | 2017-01-01T01:00:00,2,17.8",
        sides={
            "building.csv": "building_id,square_feet | 1,7432 | 2,2720 | 3,5376",
            "solution.csv": "building_id,meter_reading | 1,2 | 2,3 | 3,4",
        },
        roles="date group target numeric",
        target="meter_reading", formats={"timestamp": ("%Y-%m-%dT%H:%M:%S",)}, joins={"building.csv": ("building_id",)},
    ),
    Case(
        name="crab-age",
        train="""id,Sex,Length,Weight,Age
            0,I,1.525,28.97,9 | 1,M,1.1,10.41,8 | 2,F,1.3875,24.77,9 | 3,F,1.7,50.66,11 | 4,I,1.25,23.28,8""",
        test="id,Sex,Length,Weight | 5,I,1.05,8.6 | 6,F,1.16,15.5",
        sample="id,Age | 5,10 | 6,10",
        roles="id categorical numeric numeric target", target="Age", id="id",
    ),
    Case(
        name="crab-age",  # the same without any other file: the folder names the target
        train="Sex,Age,Length | I,9,1.5 | M,8,1.1 | F,9,1.3 | F,11,1.7 | I,7,1.2",
        roles="categorical target numeric", target="Age", holdout="",
    ),
    Case(
        name="concrete",
        train="""id,CementComponent,AgeInDays,Strength
            0,525.0,3,10.38 | 1,143.0,28,23.52 | 2,289.0,28,36.96 | 3,304.0,28,39.05""",
        test="id,CementComponent,AgeInDays | 4,166.1,28 | 5,304.0,7",
        roles="id numeric numeric target", target="Strength", id="id",
    ),
    Case(
        name="wine-quality",
        train="""fixed acidity,pH,alcohol,quality | 7.4,3.51,9.4,5 | 7.8,3.2,9.8,5 | 11.2,3.16,9.8,6
            7.3,3.3,10.5,7 | 6.2,3.4,11.1,8""",
        roles="numeric numeric numeric target", target="quality", holdout="",
    ),
    Case(
        name="flood-prediction",
        train="""id,MonsoonIntensity,Deforestation,FloodProbability
            0,5,8,0.445 | 1,6,7,0.45 | 2,6,5,0.53 | 3,3,10,0.535 | 4,5,2,0.415""",
        test="id,MonsoonIntensity,Deforestation | 5,4,7 | 6,4,3",
        sample="id,FloodProbability | 5,0.5 | 6,0.5",
        roles="id numeric numeric target", target="FloodProbability", id="id",
    ),
    Case(
        name="abalone",
        train="""Sex,Length,Shell weight,Rings | M,0.455,0.15,15 | M,0.35,0.07,7 | F,0.53,0.21,9
            I,0.33,0.055,10 | F,0.44,0.155,11""",
        roles="categorical numeric numeric target", target="Rings", holdout="",
    ),
    Case(
        name="auto-mpg",
        train="""mpg,cylinders,horsepower,origin_code,car_name
            18,8,130,1,chevrolet chevelle malibu | 15,8,?,1,buick skylark 320 | 36,4,58,2,renault lecar deluxe
            24,4,95,3,toyota corona mark ii | 22,6,95,3,plymouth duster old""",
        roles="target numeric numeric categorical text", target="mpg", holdout="", missing={"horsepower": ("?",)},
    ),
    Case(
        name="diabetes-progression",
        train="""age,sex,bmi,s1,progression
            59,2,32.1,157,151 | 48,1,21.6,183,75 | 72,2,30.5,156,141 | 24,1,25.3,198,206 | 50,1,23.0,192,135""",
        roles="numeric numeric numeric numeric target", target="progression", holdout="",
    ),
    Case(
        name="diamonds",
        train="""carat,cut,color,clarity,x,y,z,price
            0.23,Ideal,E,SI2,3.95,3.98,2.43,326 | 0.21,Premium,F,SI1,3.89,3.84,2.31,327
            0.29,Good,J,VS1,4.05,4.07,2.3,335
            0.31,Very Good,H,VVS2,4.34,4.35,2.75,350 | 0.24,Fair,D,IF,3.94,3.96,2.48,2757""",
        roles="numeric ordinal ordinal ordinal numeric numeric numeric target",
        target="price", holdout="", metric="rmse",
        levels={
            "cut": ("Fair", "Good", "Very Good", "Premium", "Ideal"),
            "color": ("J", "H", "F", "E", "D"),
            "clarity": ("SI2", "SI1", "VS1", "VVS2", "IF"),
        },
    ),
    Case(
        name="beijing-pm25",
        train="""No,year,month,day,hour,pm2.5,DEWP,cbwd
            1,2010,1,1,0,NA,-21,NW | 2,2010,1,1,1,129,-21,NW | 3,2010,1,1,2,148,-20,cv | 4,2010,1,2,0,159,-19,cv
            5,2010,1,2,1,181,-18,SE | 6,2011,2,1,0,138,-17,SE""",
        roles="id time_part time_part time_part time_part target numeric categorical",
        target="pm2.5", id="No", holdout="No",
    ),
    Case(
        name="ett",
        train="""date,HUFL,HULL,OT
            2016-07-01 00:00:00,5.8,2.0,30.5 | 2016-07-01 01:00:00,5.6,2.0,27.7 | 2016-07-01 02:00:00,5.1,1.7,27.9
            2016-07-01 03:00:00,5.0,1.9,25.0""",
        roles="date numeric numeric target", target="OT", holdout="date", formats={"date": ("%Y-%m-%d %H:%M:%S",)},
    ),
    Case(
        name="energy-efficiency",
        train="""id,compactness,orientation,heating_load,cooling_load
            1,0.98,2,15.5,21.3 | 2,0.9,3,20.8,28.2 | 3,0.86,4,19.5,27.3 | 4,0.82,5,17.0,23.7""",
        test="id,compactness,orientation | 5,0.79,2 | 6,0.76,3",
        sample="id,heating_load,cooling_load | 5,0,0 | 6,0,0",
        roles="id numeric numeric target target", target="heating_load", id="id",
    ),
    Case(
        name="no-id",
        train="a,b,target | 0.5,x,1.5 | 0.7,y,2.5 | 0.1,x,-3.5 | 0.2,y,4.5",
        test="a,b | 0.3,x | 0.9,y",
        roles="numeric categorical target", target="target",
    ),
    Case(
        name="rows-counted",  # an id by its values alone
        train="nummer,v,w | 10,0.5,3.1 | 11,0.5,2.2 | 12,0.1,7.3 | 13,0.9,1.4 | 14,0.8,1.5",
        test="nummer,v | 15,0.3 | 16,0.5 | 17,0.4 | 18,0.4 | 19,0.2",
        roles="id numeric target", target="w", id="nummer",
    ),
    Case(
        name="reviews",
        train="""review_id,product_id,review_text,helpful,stars
            r1,p1,"Soft, warm and well made",True,4.5 | r2,p2,Broke on the first day,False,1.0
            r3,p1,My dog loves this one,True,5.0 | r4,p3,It is what it says,False,3.5
            r5,p2,Not worth the money,False,2.0""",
        test="review_id,product_id,review_text,helpful | r6,p1,Would buy it again,True | r7,p2,Came late and wet,False",
        sample="review_id,stars | r6,3 | r7,3",
        roles="id group text boolean target", target="stars", id="review_id",
    ),
    Case(
        name="rent",
        train="""parish,rooms,furnished,heating,monthly_rent
            01067,2,yes,1,500 | 01069,3,no,NA,700 | 10115,1,no,1,450 | 10117,4,yes,NA,1500 | 01067,2,no,1,480""",
        roles="categorical numeric boolean categorical target", target="monthly_rent", holdout="",
    ),
    Case(
        name="codes",  # codes without a leading zero are known by their names alone
        train="""postal_code,class,wards,beds,weekly_cost
            67,1,2,3,5.5 | 69,2,5,2,7.5 | 115,3,6,2,4.5 | 117,1,3,4,8.5 | 67,2,4,1,4.8""",
        roles="categorical categorical numeric numeric target", target="weekly_cost", holdout="",
    ),
    Case(
        name="patients",
        train="""id,patient_id,visit_month,protein,updrs
            1,55,0,1.5,3 | 2,55,6,1.7,5 | 3,56,0,2.5,4 | 4,56,6,2.4,9 | 5,57,0,0.5,1 | 6,57,6,0.7,2 | 7,58,0,3.1,8
            8,58,6,3.3,7 | 9,59,0,0.2,2 | 10,59,6,0.3,6""",
        test="id,patient_id,visit_month,protein | 11,60,0,1.1 | 12,60,6,1.2 | 13,61,0,0.8",
        sample="id,updrs | 11,0 | 12,0 | 13,0",
        roles="id group numeric numeric target", target="updrs", id="id", folds="patient_id",
    ),
    Case(
        name="sizes",
        train="""shirt,risk,often,grade,amount_spent
            M,low,never,A,10.5 | XL,high,sometimes,B,20.5 | S,medium,always,C,15.5 | L,low,often,A,11.5
            XS,high,never,D,9.5""",
        roles="ordinal ordinal ordinal ordinal target", target="amount_spent", holdout="",
        levels={
            "shirt": ("XS", "S", "M", "L", "XL"),
            "risk": ("low", "medium", "high"),
            "often": ("never", "sometimes", "often", "always"),
            "grade": ("D", "C", "B", "A"),
        },
    ),
    Case(
        name="no-scale",  # letters without a name that says so, and two spellings of one level, stay levels
        train="block,level,yield | A,low,1.5 | B,Low,2.5 | C,high,3.5 | D,medium,4.5 | A,low,5.5",
        roles="categorical categorical target", target="yield", holdout="",
    ),
    Case(
        name="sensor-faults",
        train="""reading_no,volts,amps,ohms,note,flow
            1,1.5,-,3,None,0.7 | 2,1.7,0.3,unknown,ok,0.4 | 3,1.1,0.4,4,None,0.2 | 4,.,0.5,5,bad,0.3
            5,1.9,-,?,ok,0.9""",
        test="reading_no,volts,amps,ohms,note | 6,1.4,0.1,3,ok",
        roles="id numeric numeric numeric categorical target", target="flow", id="reading_no",
        missing={"volts": (".",), "amps": ("-",), "ohms": ("?", "unknown")},
    ),
    Case(
        name="duplicates",
        train="""id,area,area_copy,blank,same,key,height
            1,5.5,5.5,,x,a7,1.5 | 2,6.5,6.5,,x,b8,2.5 | 3,7.5,7.5,,x,c9,3.5 | 4,8.5,8.5,NA,x,d1,5.5""",
        test="id,area,area_copy,blank,same,key | 5,5.1,5.1,,x,e2 | 6,6.1,6.1,,y,f3",
        roles="id numeric duplicate empty constant id target", target="height", id="id",
    ),
    Case(
        name="flights",
        train="""flight_date,booked,carrier_id,delay_minutes
            25/03/2015,03-Jan-2015,1,5.5 | 01/04/2015,04-Feb-2015,2,0.5 | 02/04/2015,09-Feb-2015,3,-3.5
            05/05/2015,unknown,2,9.5
            06/05/2015,08-May-2015,1,6.5""",
        roles="date date group target", target="delay_minutes", holdout="",
        formats={"flight_date": ("%d/%m/%Y",), "booked": ("%d-%b-%Y",)}, missing={"booked": ("unknown",)},
    ),
    Case(
        name="visitors",
        train="""air_store_id,visit_date,visitors
            air_a,20160113,25 | air_a,20160114,32 | air_b,20160115,29 | air_b,20160116,22 | air_c,20160118,6
            air_c,20160119,9""",
        test="air_store_id,visit_date | air_a,20170423 | air_b,20170424",
        roles="group date target", target="visitors", metric="rmsle", formats={"visit_date": ("%Y%m%d",)},
    ),
    Case(
        name="forest-fires",
        train="""X,Y,month,day,temp,area
            7,5,mar,fri,8.2,0.0 | 7,4,oct,tue,18.0,0.36 | 8,6,mar,sat,14.6,0.43 | 6,5,aug,sun,22.2,4.61
            4,3,sep,mon,24.1,11.06""",
        roles="numeric numeric categorical categorical numeric target", target="area", holdout="",
    ),
    Case(
        name="asked",  # the user's word goes before every sign
        train="id,price,rooms,age | 1,5.5,2,10 | 2,6.5,3,20 | 3,7.5,2,30 | 4,9.5,4,45",
        roles="id numeric numeric target", target="age", id="id", holdout="", asked="age",
    ),
)  # fmt: skip
